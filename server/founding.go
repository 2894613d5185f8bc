package server

import (
	"errors"

	"github.com/quorate/quorate"
)

// Founding returns what Start tells the host of a server of a new cluster: its directory, the members, its name
// and the token. It is for those who make data directories before the first start. Keys of servers are left out:
// they are needed by those who start.
func (o Options) Founding() (quorate.Options, error) {
	if err := o.Validate(); err != nil {
		return quorate.Options{}, err
	}
	o = o.withDefaults()
	if o.joins() {
		return quorate.Options{}, errors.New("a server that joins a cluster gets its state from the others")
	}
	servers := []namedServer{{o.Name, o.InitialAdvertisePeerURLs}}
	if o.InitialCluster != "" {
		servers, _ = parseCluster(o.InitialCluster) // it has been validated
	}
	founding := quorate.Options{Dir: o.DataDir, Name: o.Name, Token: o.InitialClusterToken}
	for _, s := range servers {
		founding.Members = append(founding.Members, quorate.Member{Name: s.name, PeerURLs: s.urls})
	}
	return founding, nil
}
