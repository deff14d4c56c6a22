"""``python -m minikafka`` is the ``minikafka`` program."""

from minikafka.cli.main import main

if __name__ == "__main__":
    main()
