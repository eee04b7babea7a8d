// Command talon runs the service that books appointments by electronic referral, and the commands
// of its operator. `talon help` prints them.
package main

import (
	_ "golang.org/x/crypto/x509roots/fallback" // for images without certificates of authorities

	"talon.example/internal/app"
)

func main() { app.Program.Main() }
