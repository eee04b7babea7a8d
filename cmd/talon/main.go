// Command talon is the service that books appointments by electronic referral, and the tools that run it. See talon help.
package main

import "talon.example/internal/app"

func main() { app.Program.Main() }
