// Command talon-sandbox serves demo data, with a scenario for every documented response. See talon-sandbox help.
package main

import "talon.example/internal/sandbox"

func main() { sandbox.Program.Main() }
