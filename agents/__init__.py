"""What happens: thin adapters between topics, tables and the evaluation. Agents never import each other."""
