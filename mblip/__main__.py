"""`python -m mblip`, for torchrun: `torchrun --nproc_per_node 4 -m mblip train RECIPE`."""

from mblip.cli import main

if __name__ == "__main__":
    main()
