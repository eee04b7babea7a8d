// Command ensure installs PostgreSQL unless it is installed, and prints the directory of its
// programs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"talon.example/internal/localpg"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	binaries, err := localpg.FindOrInstall(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ensure:", err)
		return 1
	}
	fmt.Println(binaries.Dir)
	return 0
}
