"""Speed and memory, measured side by side in one run; the last line of every script is one JSON object."""
