// Builds the page into the service's static files, or the folder that is named; equal sources give equal bytes.
import { build } from 'esbuild';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';

const here = (path) => new URL(path, import.meta.url);
const folder = process.argv[2] ? `${process.argv[2]}/` : here('../service/static/explorer/').pathname;
const into = (name) => new URL(name, `file://${folder}`);

await mkdir(into(''), { recursive: true });
await build({
  entryPoints: { explorer: here('src/main.tsx').pathname },
  outdir: into('').pathname,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
});
await copyFile(here('src/index.html'), into('index.html'));

const lock = JSON.parse(await readFile(here('package-lock.json'), 'utf8'));
const shipped = Object.entries(lock.packages).filter(([path, one]) => path && !one.dev);
const notices = shipped.map(async ([path, { version, license }]) => {
  const text = await readFile(here(`${path}/LICENSE`), 'utf8');
  return `${path.replace('node_modules/', '')} ${version} (${license})\n\n${text.trim()}\n`;
});
const head = 'explorer.js and explorer.css contain these packages:\n';
await writeFile(into('NOTICE.txt'), [head, ...(await Promise.all(notices))].join(`\n${'-'.repeat(72)}\n\n`));
