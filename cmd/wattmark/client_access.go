package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"wattmark/api"
)

// credentialFlags are what a client command shows to a daemon that asks who it is.
type credentialFlags struct {
	TokenFile string `type:"path" placeholder:"FILE" help:"Token of the daemon's --write-token-file."`
	CAFile    string `name:"ca-file" type:"path" placeholder:"FILE" help:"Certificates that the daemon's is checked with; default: the system's."`
	CertFile  string `type:"path" placeholder:"FILE" help:"Certificate to show to the daemon (mutual TLS)."`
	KeyFile   string `type:"path" placeholder:"FILE" help:"Its key."`
}

// scheme is that of an address without one.
func (c credentialFlags) scheme() string {
	if c.CAFile != "" || c.CertFile != "" {
		return "https://"
	}
	return "http://"
}

// tls returns what TLS checks and shows, nil for the defaults.
func (c credentialFlags) tls() (*tls.Config, error) {
	if c.CAFile == "" && c.CertFile == "" && c.KeyFile == "" {
		return nil, nil //nolint:nilnil // net/http takes nil for its defaults
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		text, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", c.CAFile)
		}
	}
	if c.CertFile != "" || c.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("--cert-file, --key-file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// authorize puts the token into the request, beside the user and password that its URL may hold.
func (c credentialFlags) authorize(request *http.Request) error {
	if c.TokenFile == "" || request.Method == http.MethodGet {
		return nil
	}
	token, err := readToken(c.TokenFile)
	if err != nil {
		return fmt.Errorf("--token-file: %w", err)
	}
	if request.URL.User != nil {
		request.Header.Set(api.TokenHeader, token)
	} else {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// redacted is an address without the password that it may hold.
func redacted(addr string) string {
	if parsed, err := url.Parse(addr); err == nil && parsed.User != nil {
		return parsed.Redacted()
	}
	return addr
}
