"""The judges: what decides where no fixed rule can, behind one small protocol."""
