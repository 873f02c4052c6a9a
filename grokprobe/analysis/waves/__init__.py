"""What each neuron has at its frequency: phases, amplitudes, and how the neurons share them out."""
