package hub

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// bomb is a small message that is large when it is decompressed.
func bomb(t *testing.T) []byte {
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	data := w.EncodeAll(bytes.Repeat([]byte{' '}, 64<<20), nil)
	require.Less(t, len(data), 64<<10)
	return data
}

// compressed is a message as it travels.
func compressed(t *testing.T, text []byte) []byte {
	w, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return w.EncodeAll(text, nil)
}
