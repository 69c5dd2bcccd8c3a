package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
)

// reloadOnHangup has a server read its configuration file again whenever the process gets a SIGHUP, as nats-server does,
// until stop is called. Without a file to read, a hangup ends the process as usual.
func reloadOnHangup(s *server.Server, configFile string, log *slog.Logger) (stop func()) {
	if configFile == "" {
		return func() {}
	}
	hangups, end := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hangups, syscall.SIGHUP)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-hangups:
				reload(s, log)
			case <-end:
				return
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(end)
		group.Wait()
	}
}

func reload(s *server.Server, log *slog.Logger) {
	if err := s.Reload(); err != nil {
		log.Error("the server goes on with the configuration that it has", "error", err)
		return
	}
	log.Info("the server has read its configuration again")
}
