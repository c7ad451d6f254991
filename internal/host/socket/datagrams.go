package socket

import (
	"bytes"
	"context"
	"net/netip"

	"github.com/waterbear-run/waterbear/internal/durable"
	"github.com/waterbear-run/waterbear/internal/host/await"
)

// BindDatagrams binds a UDP socket, and gives the local address it has then.
func (s *Sockets) BindDatagrams(id uint64, local netip.AddrPort) (Outcome, error) {
	return durable.Run(s.Session, &bind, binding{local: local, remote: local}, func(context.Context, binding) (Outcome, error) {
		d, code := s.Network.Datagrams(local, false, s.ties())
		if code != OK {
			return Outcome{Code: code}, nil
		}
		s.datagrams[id] = d
		return Outcome{Local: d.Local()}, nil
	})
}

// Source is the local address from which datagrams to an address leave.
func (s *Sockets) Source(id uint64, local, to netip.AddrPort, names []string) (Outcome, error) {
	return durable.Run(s.Session, &source, binding{local, to}, func(context.Context, binding) (o Outcome, err error) {
		d, code := s.rebind(id, local)
		if code == OK {
			o.Local, code = d.Source(to, names)
		}
		o.Code = code
		return o, nil
	})
}

// rebind lets a UDP socket come back that is live no more.
func (s *Sockets) rebind(id uint64, local netip.AddrPort) (Datagrams, Code) {
	if d := s.datagrams[id]; d != nil {
		return d, OK
	}
	d, code := s.Network.Datagrams(local, true, s.ties())
	if code == OK {
		s.datagrams[id] = d
	}
	return d, code
}

// Datagram is the event that a datagram comes in, of from alone if that is valid.
func (s *Sockets) Datagram(id uint64, local, from netip.AddrPort) await.Event {
	var live Datagrams
	return await.Event{Source: await.Datagram, ID: id, Come: func() bool { return live == nil || live.Ready(from) }, Begin: func() error {
		live, _ = s.rebind(id, local)
		return nil
	}}
}

// ReceiveDatagrams takes up to most datagrams that have come in.
func (s *Sockets) ReceiveDatagrams(id uint64, local, from netip.AddrPort, most int) (Received, error) {
	r, err := durable.Run(s.Session, &receiveFrom, receiving{id, from, most}, func(context.Context, receiving) (r Received, err error) {
		d, code := s.rebind(id, local)
		if code != OK {
			return Received{Code: code}, nil
		}
		r.Datagrams, r.Code = d.Receive(from, min(most, MaxDatagrams))
		return r, nil
	})
	for i := range r.Datagrams {
		r.Datagrams[i].Bytes = bytes.Clone(r.Datagrams[i].Bytes)
	}
	return r, err
}

// Parcel is a datagram to send, and the names by which the program has found the
// address.
type Parcel struct {
	Datagram
	Names []string
}

// SendDatagrams sends datagrams: so many of them, and if that is none, the code
// says why.
func (s *Sockets) SendDatagrams(id uint64, local netip.AddrPort, list []Parcel) (Room, error) {
	var live Datagrams
	sent, err := durable.Run(s.Session, &sendTo, newParcels(id, list), func(context.Context, parcels) (Room, error) {
		d, code := s.rebind(id, local)
		if code != OK {
			return Room{Code: code}, nil
		}
		live = d
		for i, p := range list {
			if code := d.May(p.Remote, p.Names); code != OK {
				return Room{uint64(i), code}, nil
			}
		}
		return Room{uint64(len(list)), OK}, nil
	})
	if err == nil && live != nil && sent.Bytes > 0 {
		var all []Datagram
		for _, p := range list[:sent.Bytes] {
			all = append(all, Datagram{p.Remote, bytes.Clone(p.Bytes)})
		}
		live.Send(all)
	}
	return sent, err
}
