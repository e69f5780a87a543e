"""Making a repository from the template: names, answers, rendering, what was rendered, environments."""
