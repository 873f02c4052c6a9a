import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { drew } from '../drawn';
import { clearHighlight, highlight, highlightWords, selected } from '../highlight';
import { typing } from './common';

/** Says what is highlighted, and lets it go. */
export function HighlightBar() {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && !typing(event)) clearHighlight();
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
  useEffect(() => effect(() => drew('highlight', { ...highlight.value, words: highlightWords.value })), []);
  useEffect(() => () => drew('highlight', null), []);
  return (
    <div class="highlight">
      <p role="status">{highlightWords}</p>
      {selected.value && (
        <button type="button" class="quiet" onClick={clearHighlight} aria-keyshortcuts="Escape">
          let go (Escape)
        </button>
      )}
    </div>
  );
}
