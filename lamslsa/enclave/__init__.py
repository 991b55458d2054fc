"""The enclave builds: their manifest, how they are built and signed, how a job is run in one, and what runs inside.

manifest   renders the manifest of a build, and refuses a final one that says anything it should not
build      gathers the trusted files and drives gramine-manifest and gramine-sgx-sign
run        on the host: one job in, the files of a run out
entry      inside: reads one job, runs one measurement, writes what came of it
"""
