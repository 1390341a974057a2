package dhcp6

// Bytes is the whole message as it was given to ParseMessage.
func (m Message) Bytes() []byte { return m.b }

// Bytes is the whole message as it was given to ParseRelay.
func (m RelayMessage) Bytes() []byte { return m.b }
