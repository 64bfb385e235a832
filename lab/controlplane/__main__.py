from lab.controlplane.main import main

main()
