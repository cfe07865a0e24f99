"""Reports of what was accounted: tables, pages, spreadsheets, and bundles that are checked offline. Accounts nothing itself."""
