import { setParameters, follows, goesOn, type View } from '../state';
import { sentence } from './panel';

/** Whether the run is followed, and a switch to the latest checkpoint and back; why not, in words. */
export function Live({ run }: { run: View['run'] }) {
  const following = run.follower.following.value;
  return (
    <span class="live">
      {goesOn.value && (
        <button
          type="button"
          class={following?.state === 'live' ? 'quiet here' : 'quiet'}
          aria-pressed={follows.value}
          title="The run still trains: show its latest checkpoint, whichever that is"
          onClick={() => setParameters({ step: null })}
        >
          {follows.value ? 'live' : 'follow live'}
        </button>
      )}
      <span class="words" role="status">
        {following?.state === 'away' ? sentence(following.words) : ''}
      </span>
    </span>
  );
}
