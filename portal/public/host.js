// Who the patient is. In the sandbox this file is empty, and the page offers the demo's patients. A real deployment replaces it (portal/README.md).
