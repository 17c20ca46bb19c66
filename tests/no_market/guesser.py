"""What the models of this contest subclass: `predict` takes a question."""


class Guesser:
    def tick(self, data):
        self.data = data

    def predict(self, question):
        raise NotImplementedError
