// Command talon-sandbox runs the service with demo data, which contain a scenario for every
// documented response. `talon-sandbox help` prints its commands.
package main

import "talon.example/internal/sandbox"

func main() { sandbox.Program.Main() }
