"""Who may ask: accounts, passwords, tokens, log-ins, and the audit trail."""
