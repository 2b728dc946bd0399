"""`python -m trainers.zoo`."""

from trainers.zoo.cli import zoo

if __name__ == "__main__":
    zoo()
