from tests.no_market.guesser import Guesser


class Doubtful(Guesser):
    def predict(self, question):
        assert question.startswith("Will the") and self.data["words"]
        return {"value": "no"}
