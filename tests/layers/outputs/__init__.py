"""What comes after the recurrent layers: pooling over time, a conditional random field."""
