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

/** What two checkpoints answer to a part of the pairs; nulls stand for all of a split. */
export interface ComparedPart {
  split_a: string | null;
  split_b: string | null;
  pairs: number;
  changed: number;
  right_to_wrong: number;
  wrong_to_right: number;
  accuracy_a: number;
  accuracy_b: number;
  loss_a: number;
  loss_b: number;
  loss_difference: number;
  kl_a_b: number;
  kl_b_a: number;
}

export interface ComparedKey {
  frequency: number;
  change: 'kept' | 'gained' | 'lost';
  share_a: number | null;
  share_b: number | null;
  alignment: number | null;
}

interface Similarity {
  cka: number;
  null_mean: number;
}

/** `GET /v1/compare`. */
export interface CompareAnswer {
  a: { run: string; step: number; sha256: string };
  b: { run: string; step: number; sha256: string };
  identical: 'bytes' | 'weights' | null;
  parts: ComparedPart[];
  changed: { right_to_wrong: number[]; wrong_to_right: number[] };
  weights: { name: string; identical: boolean; distance: number | null; cosine: number | null }[] | null;
  all_weights: { distance: number | null; cosine: number | null } | null;
  embedding: Similarity | null;
  neurons: Similarity | null;
  planes: { overlap: number; chance: number; frequencies_a: number[]; frequencies_b: number[] } | null;
  keys: ComparedKey[] | null;
  absent: Record<string, string>;
}

/** What a checkpoint says of a pair. */
export interface Prediction {
  a: number;
  b: number;
  predicted: number;
  answer: number | null;
  correct: boolean | null;
  probability: number;
  loss: number | null;
  split: 'train' | 'test' | null;
  top: { residue: number; probability: number }[];
  /** Of each head, how much the last position looks at each token. */
  attention?: number[][];
}

export interface PredictionAnswer {
  step: number;
  predictions: Prediction[];
}

interface Judged {
  loss: number;
  accuracy: number;
}

interface Spread {
  q05: number;
  q50: number;
  q95: number;
}

/** `POST .../interventions`. */
export interface InterventionAnswer {
  run: string;
  step: number;
  of: string;
  verb: 'remove' | 'keep';
  members: number[];
  method: string;
  missed: number | null;
  controls: { sets: number; exist: number | null; every: boolean; avoiding: number; tail: string };
  p_value: number | null;
  parts: {
    part: string;
    pairs: number;
    before: Judged;
    after: Judged;
    p_value: number | null;
    controls: { losses: number[]; accuracies: number[]; loss: Spread; accuracy: Spread } | null;
  }[];
}
