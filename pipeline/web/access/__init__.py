"""Access control: accounts, passwords, tokens, limits on log-ins, and the audit trail."""
