"""`python -m mblip`: what torchrun can start, `torchrun --nproc_per_node 4 -m mblip train RECIPE`."""

from mblip.cli import main

if __name__ == "__main__":
    main()
