// Command talon is the service that books appointments by electronic referral, and its tools. See talon help.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"talon.example/internal/app"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once the first signal has begun an orderly stop, a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	return app.Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
}
