import { useEffect, useRef } from 'preact/hooks';

const KEYS = [
  ['← →', 'one checkpoint back, on'],
  ['Page Up, Page Down', 'ten checkpoints back, on'],
  ['Home, End', 'the first, the last checkpoint; the last of a run that trains is followed'],
  ['Space', 'play, pause'],
  ['Tab, Enter', 'to the next control, use it'],
  ['Esc', 'close a menu, leave the tour'],
  ['?', 'this help'],
] as const;

/** All keys of the page; opened by ? and by its button. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const open = (event: KeyboardEvent) => {
      if (event.key !== '?' || (event.target as HTMLElement).closest('input:not([type=range]), textarea, dialog')) return;
      event.preventDefault();
      dialog.current!.showModal();
    };
    document.addEventListener('keydown', open);
    return () => document.removeEventListener('keydown', open);
  }, []);
  return (
    <>
      <button type="button" class="quiet" aria-label="Keys and help" onClick={() => dialog.current!.showModal()}>
        ?
      </button>
      <dialog ref={dialog} aria-labelledby="help-title">
        <h2 id="help-title">Keys</h2>
        <table class="figures">
          <tbody>
            {KEYS.map(([keys, does]) => (
              <tr key={keys}>
                <th scope="row">{keys}</th>
                <td>{does}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <p class="caption">A click or a drag in any chart of steps moves the step, and so does the wheel above it.</p>
        <form method="dialog">
          <button type="submit">Close</button>
        </form>
      </dialog>
    </>
  );
}
