"""What the page starts from: the modules that it imports, as bytecode, in two archives."""
