import 'uplot/dist/uPlot.min.css';
import './style.css';
import { render } from 'preact';
import { KeyDialog } from './pages/key';
import { Run } from './pages/run';
import { Runs } from './pages/runs';
import { source } from './data/source';
import { hrefOf, shown } from './state';
import { switchTheme, theme } from './theme';

function Page() {
  const run = shown.value;
  const schema = source.link('../schema');
  return (
    <>
      <header class="top">
        <a class="brand" href={hrefOf(null)}>
          grokprobe
        </a>
        <nav>
          {schema !== null && <a href={schema}>API</a>}
          <button type="button" class="quiet" onClick={switchTheme}>
            {theme.value === 'dark' ? 'light' : 'dark'}
          </button>
        </nav>
      </header>
      {run ? <Run key={run.name} run={run} /> : <Runs />}
      <KeyDialog />
    </>
  );
}

const place = document.getElementById('page')!;
place.replaceChildren();
render(<Page />, place);
