"""The tutorial's history: perceptrons, early recurrent networks, and the tasks that LSTM was made for."""
