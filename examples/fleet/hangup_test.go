//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHangup: a hub with a server in it goes on after a hangup if there is a configuration to read again, and ends if not.
func TestHangup(t *testing.T) {
	s := emptySite(t)
	s.write("fleet.conf", "listen: \""+s.nats+"\"\njetstream { store_dir: \""+s.path("store")+"\" }\n")
	start := func(name, flags string) {
		s.start(name, "fleet hub --name "+name+" --listen-http 127.0.0.1:0 "+flags)
		s.eventually("it is ready", func() bool { return strings.Contains(s.read(name+".log"), "Metrics are at") })
	}
	hangup := func(name string) { s.run("kill -HUP $(cat " + name + ".pid)") }
	start("configured", "--nats-config fleet.conf")
	hangup("configured")
	s.eventually("it has read it again", func() bool { return strings.Contains(s.read("configured.log"), reloaded) })
	s.run("fleet status --nats nats://" + s.nats)

	start("bare", "--store "+s.path("other")+" --listen 127.0.0.1:0")
	hangup("bare")
	s.eventually("it has ended", func() bool { _, err := s.try("kill -0 $(cat bare.pid)"); return err != nil })
	require.NotContains(t, s.read("bare.log"), reloaded)
}
