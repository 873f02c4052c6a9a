"""The handlers of the API."""

from service.v1 import card, checkpoints, compare, groups, runs
from service.v1.checkpoint import (
    activations,
    embedding,
    logits,
    measures,
    model,
    neurons,
    predictions,
    projector,
    safetensors,
    spectrum,
    weights,
)
from service.v1.interventions import route as interventions
from service.v1.run import (
    coordinates,
    drift,
    emergence,
    events,
    grids,
    pairs,
    spectra,
    split,
    trajectory,
)
from service.v1.run import neurons as neuron_series
from service.v1.run.weights import path, updates

V1 = [
    runs.list_runs,
    runs.get_run,
    checkpoints.list_checkpoints,
    checkpoints.get_checkpoint,
    predictions.post_predictions,
    predictions.get_predictions,
    interventions.post_interventions,
    logits.get_logits,
    embedding.get_embedding,
    spectrum.get_spectrum,
    neurons.get_neurons,
    activations.get_activations,
    measures.get_measures,
    model.get_model,
    safetensors.get_safetensors,
    projector.get_projector,
    projector.get_projector_tensors,
    projector.get_projector_metadata,
    weights.list_weights,
    weights.get_weight,
    trajectory.get_trajectory,
    spectra.get_spectra,
    coordinates.get_coordinates,
    neuron_series.get_neuron_series,
    grids.get_grids,
    pairs.get_pairs,
    split.get_split,
    emergence.get_emergence,
    card.get_card,
    events.get_events,
    groups.get_group_emergence,
    groups.get_precursors,
    compare.compare,
    drift.get_drift,
    updates.get_updates,
    path.get_path,
]
