module keyferry.dev/lab/servers/vault

go 1.26

tool github.com/hashicorp/vault

require (
	github.com/hashicorp/vault v1.21.1
	github.com/hashicorp/vault/api v1.22.0
	github.com/hashicorp/vault/sdk v0.20.0
)

replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3

replace github.com/ma314smith/signedxml v1.1.1 => github.com/moov-io/signedxml v1.1.1
