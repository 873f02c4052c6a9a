import { useEffect, useRef } from 'preact/hooks';
import { refused, setKey } from '../data/access';

/** Asks for the API key where the service wants one; it is kept in this tab alone. */
export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const words = refused.value;
  useEffect(() => {
    if (words !== null && !dialog.current!.open) dialog.current!.showModal();
    if (words !== null) input.current!.value = '';
    if (words === null) dialog.current!.close();
  }, [words]);
  return (
    <dialog ref={dialog} class="key" aria-labelledby="key-title">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const value = input.current!.value.trim();
          if (value) setKey(value);
        }}
      >
        <h2 id="key-title">This service asks for a key</h2>
        <p>{words}</p>
        <label>
          API key <input ref={input} type="password" autocomplete="off" required />
        </label>
        <p class="caption">It is kept in this tab until it is closed, and sent to this service alone.</p>
        <button type="submit">Go on</button>
      </form>
    </dialog>
  );
}
