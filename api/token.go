package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
)

// TokenHeader carries the write token where Authorization is taken by basic authentication.
const TokenHeader = "X-Wattmark-Token"

// authorize refuses requests that may change something and do not carry the write token, where one is configured.
func (s *Server) authorize(r *http.Request) error {
	if s.config.WriteToken == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	want, err := s.config.WriteToken()
	if err != nil {
		s.config.Logger.Error("write token not known: every POST is refused", "err", err)
		return fmt.Errorf("%w: the daemon cannot read its --write-token-file; its log says why", errToken)
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		given = r.Header.Get(TokenHeader)
	}
	given = strings.TrimSpace(given)
	if given == "" {
		return fmt.Errorf("%w: send 'Authorization: Bearer TOKEN', or give --token-file to wattmark's commands", errToken)
	}
	// Of equal length, whatever was sent: comparing takes the same time for every wrong token.
	got, right := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(got[:], right[:]) != 1 {
		return fmt.Errorf("%w: this one is wrong", errToken)
	}
	return nil
}
