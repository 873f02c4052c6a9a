import { signal } from '@preact/signals';

const STORED = 'grokprobe.key';

/** The API key of this session, kept in the tab's session storage alone. */
export const key = signal(stored());

/** Whether the service has refused this session for want of a key, and why in its words. */
export const refused = signal<string | null>(null);

/** Keep the key no longer; `words` say why another is asked for, null where nobody asks. */
export function forgetKey(words: string | null): void {
  try {
    sessionStorage.removeItem(STORED);
  } catch {
    // it was in memory alone
  }
  key.value = '';
  refused.value = words;
}

/** Keep a key; everything that waits for one asks again. */
export function setKey(value: string): void {
  try {
    sessionStorage.setItem(STORED, value);
  } catch {
    // a page from file:// or with storage forbidden keeps it in memory alone
  }
  refused.value = null;
  key.value = value;
}

function stored(): string {
  try {
    return sessionStorage.getItem(STORED) ?? '';
  } catch {
    return '';
  }
}
