package wasip2

import "github.com/waterbear-run/waterbear/wit"

// filesystemPreopens is wasi:filesystem/preopens.
func filesystemPreopens() interfaceOf {
	return interfaceOf{
		name: "wasi:filesystem/preopens",
		functions: []function{
			{name: "get-directories", typ: fnTo(list(tuple(own(descriptorResource), tString))), call: getDirectories},
		},
	}
}

// getDirectories makes descriptors anew each time.
func getDirectories(s *System, _ []wit.Value) (wit.Value, error) {
	dirs := []wit.Value{}
	for _, p := range s.preopens {
		if s.room() != nil {
			return nil, trap("the program has more than %d files open", s.maxFiles)
		}
		if err := s.fs.Retain(p.Dir); err != nil {
			return nil, err
		}
		rep, err := s.addDescriptor(p.Dir, flagRead|flagMutate)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, []wit.Value{rep, p.Name})
	}
	return dirs, nil
}
