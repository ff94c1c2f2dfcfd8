"""What people see of a run: the pure view state, and the widget that shows it live."""
