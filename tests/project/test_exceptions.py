"""What messages say of names that there are not."""

from fastmlp.exceptions import did_you_mean, nearest


def test_names_that_are_near_are_asked_for():
    names = ["dropout", "alpha", "activation", "max_iter"]
    assert nearest("Dropuot", names) == ["dropout"]
    assert did_you_mean("aplha", names, "there are others") == "did you mean 'alpha'?"
    assert did_you_mean("aplha", names, "", lambda name: f"`{name}`") == "did you mean `alpha`?"
    assert did_you_mean("zzz", names, "there are others") == "there are others"
    assert did_you_mean("max_it", ["max_iter", "max_item"], "") == (
        "did you mean 'max_iter' or 'max_item'?"
    )
