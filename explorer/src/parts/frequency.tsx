import { pickFrequency, type View } from '../state';

/** Picks the frequency of the circle: the run's strongest, its keys, then every other. */
export function FrequencyPicker({ view }: { view: View }) {
  const { run, frequency } = view;
  const names = (run.spectra.value?.frequencies ?? []).filter((name) => typeof name === 'number');
  const keys = run.keys.value;
  const strongest = run.plane(null).value?.frequency;
  const others = names.filter((name) => !keys.includes(name));
  return (
    <label class="picker">
      frequency{' '}
      <select
        value={frequency.value ?? ''}
        onChange={(event) => pickFrequency(event.currentTarget.value === '' ? null : Number(event.currentTarget.value))}
      >
        <option value="">{strongest === undefined ? 'strongest' : `${strongest}, strongest`}</option>
        {frequency.value !== null && !names.includes(frequency.value) && <option value={frequency.value}>{frequency.value}</option>}
        {keys.length > 0 && (
          <optgroup label="keys">
            {keys.map((key) => (
              <option key={key} value={key}>
                {key}
              </option>
            ))}
          </optgroup>
        )}
        <optgroup label="others">
          {others.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </optgroup>
      </select>
    </label>
  );
}
