"""The demonstration: one real case (UCI German Credit) from a trained model to a verified trail and a certificate.

It drives a running installation from outside, as its users do: the stock MLflow client, REST, the browser's pages.
"""
