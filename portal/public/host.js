// Identifies the patient. In the sandbox this file is empty, and the user picks a demo patient. A
// deployment replaces it (portal/README.md).
