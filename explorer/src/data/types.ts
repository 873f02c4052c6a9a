// Answers of the API, as far as the page reads them; docs/api.md says what they mean.

/** One run in the list. */
export interface ListedRun {
  run: string;
  group: string | null;
  operation: string;
  modulus: number;
  architecture: string;
  seed: number;
  status: string;
  latest_step: number | null;
  checkpoint_count: number;
  test_accuracy: number | null;
  created_at: string;
}

export interface RunPage {
  runs: ListedRun[];
  next: string | null;
}

/** `GET /v1/runs/{run}`. */
export interface RunAnswer {
  run: string;
  group: string | null;
  created_at: string;
  status: string;
  task: {
    operation: string;
    modulus: number;
    train_fraction: number | null;
    train_pairs: number | null;
    test_pairs: number | null;
  };
  architecture: { family: string; [field: string]: unknown };
  optimiser: { name: string; [field: string]: unknown } | null;
  seed: number | null;
  checkpoint_count: number;
  first_step: number | null;
  latest_step: number | null;
  memorised_step: number | null;
  generalised_step: number | null;
  key_frequencies: number[] | null;
}

/** Measures of one checkpoint; null is what it lacks. */
export interface TrajectoryRow {
  step: number;
  [measure: string]: number | null;
}

export interface TrajectoryAnswer {
  run: string;
  provisional: boolean;
  keys: { frequencies: number[]; rule: string; source_step: number } | null;
  trajectory: TrajectoryRow[];
}

/** A step with the checkpoint before it: what happened, happened between both. */
export interface Bracket {
  step: number;
  previous_step: number | null;
}

export interface EmergenceAnswer {
  memorised: Bracket | null;
  generalised: Bracket | null;
  lost: Bracket[];
  regained: Bracket[];
  phases: Record<string, { start: number | null; end: number | null } | null> | null;
}

export interface SpectraAnswer {
  of: string;
  value: string;
  basis: { group: string; order: number };
  frequencies: number[] | string[];
  spectra: { step: number; values: (number | null)[] }[];
}
