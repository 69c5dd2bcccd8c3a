// Package fleet is replaced by the program.
package fleet

import (
	_ "github.com/acmeauthz/acmeauthz/account"
	_ "github.com/acmeauthz/acmeauthz/authz"
	_ "github.com/acmeauthz/acmeauthz/authz/solver"
	_ "github.com/acmeauthz/acmeauthz/internal/fakeca"
	_ "github.com/acmeauthz/acmeauthz/internal/pebbleca"
	_ "github.com/gofrs/flock"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/nats-io/jwt/v2"
	_ "github.com/nats-io/nats-server/v2/server"
	_ "github.com/nats-io/nats.go/jetstream"
	_ "github.com/nats-io/nkeys"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/testutil/promlint"
	_ "github.com/stretchr/testify/require"
	_ "github.com/urfave/cli/v3"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/time/rate"
)
