import { source } from '../data/source';

/** What can be had of a panel beside its picture: its numbers at their address. */
export function PanelMenu({ title, path }: { id: string; title: string; path: string }) {
  const link = source.link(path);
  if (link === null) return null;
  return (
    <a class="quiet" href={link} target="_blank" rel="noopener" aria-label={`The numbers of: ${title}`}>
      data
    </a>
  );
}
