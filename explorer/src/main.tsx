import 'uplot/dist/uPlot.min.css';
import './style.css';
import { render } from 'preact';
import { KeyDialog } from './pages/key';
import { Run } from './pages/run';
import { Runs } from './pages/runs';
import { source } from './data/source';
import { useEffect, useRef } from 'preact/hooks';
import { forgetKey, key, refused } from './data/access';
import { Help } from './pages/help';
import { hrefOf, LINK, shown } from './state';
import { switchTheme, theme } from './theme';

function Page() {
  const run = shown.value;
  const before = useRef(run);
  useEffect(() => {
    if (!run) document.title = 'grokprobe';
    if (before.current === run) return;
    before.current = run; // another page: who reads on begins at its title
    const title = document.querySelector('h1');
    if (!title) return;
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [run]);
  const schema = source.link('../schema');
  return (
    <>
      <header class="top">
        <a class="brand" href={hrefOf(null)}>
          grokprobe
        </a>
        <nav>
          {schema !== null && <a href={schema}>API</a>}
          {key.value !== '' && (
            <button
              type="button"
              class="quiet"
              onClick={() => {
                forgetKey(null);
                location.reload(); // nothing that it opened stays
              }}
            >
              forget the key
            </button>
          )}
          {refused.value !== null && (
            <button type="button" class="quiet" onClick={() => document.querySelector<HTMLDialogElement>('dialog.key')!.showModal()}>
              enter a key
            </button>
          )}
          <Help />
          <button type="button" class="quiet" aria-label={`Switch to ${theme.value === 'dark' ? 'light' : 'dark'}`} onClick={switchTheme}>
            {theme.value === 'dark' ? 'light' : 'dark'}
          </button>
        </nav>
      </header>
      {source.note !== null && <p class="words report">{source.note}</p>}
      {run ? <Run key={run.name} run={run} /> : <Runs />}
      <KeyDialog />
    </>
  );
}

window.grokprobe.link = LINK;
const place = document.getElementById('page')!;
place.replaceChildren();
render(<Page />, place);
